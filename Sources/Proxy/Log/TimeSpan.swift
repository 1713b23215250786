/// Lengths of time for people.
package enum TimeSpan {
    /// `12 days`, `3 hours`, `2 minutes`, `40 seconds`: the largest unit of which there are two.
    package static func text(seconds: Int64) -> String {
        switch seconds {
        case ..<120: "\(max(0, seconds)) seconds"
        case ..<7_200: "\(seconds / 60) minutes"
        case ..<172_800: "\(seconds / 3_600) hours"
        case _: "\(seconds / 86_400) days"
        }
    }
}
