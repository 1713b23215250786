extension String {
    /// The beginning, with dots after it, where the text has more bytes; cut between two Unicode scalars.
    ///
    /// Characters are not looked for: finding where the last of them begins can take as long as the text is.
    package func cut(toBytes maximum: Int) -> String {
        guard utf8.count > maximum else { return self }
        var result = ""
        for scalar in unicodeScalars {
            guard result.utf8.count + UTF8.width(scalar) + 3 <= maximum else { break }
            result.unicodeScalars.append(scalar)
        }
        return result + "..."
    }
}
