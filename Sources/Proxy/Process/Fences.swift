/// Which fences stand around the process: Landlock cannot be seen from outside, so it has to say so itself.
struct Fences {
    /// Its memory cannot be dumped.
    var memory = false
    /// Files can only be read, and only some (Landlock).
    var files = false
    /// The kernel refuses it what a proxy never calls (seccomp).
    var systemCalls = false
    /// Why a fence does not stand, a sentence each.
    var gaps: [String] = []

    /// SANDBOX=false.
    static let none = Fences(gaps: ["SANDBOX=false"])

    /// The answer of `/sandbox`.
    var document: JSONWriter {
        var json = JSONWriter()
        json.object { json in
            json.field("memory", memory)
            json.field("files", files)
            json.field("system_calls", systemCalls)
            json.field("gaps", gaps)
        }
        return json
    }
}
