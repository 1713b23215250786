/// Ends the run with a sentence that an optimised build keeps.
func hold(_ condition: Bool, _ sentence: @autoclosure () -> String) {
    if !condition { fatalError(sentence()) }
}
