/// A fact of the system, or why it could not be read.
enum Reading<Value> {
    case value(Value)
    case unreadable(NetSetupError)

    init(_ read: () throws(NetSetupError) -> Value) {
        do throws(NetSetupError) {
            self = .value(try read())
        } catch {
            self = .unreadable(error)
        }
    }

    var known: Value? {
        switch self {
        case .value(let value): value
        case .unreadable: nil
        }
    }
}

extension Reading: Equatable where Value: Equatable {}
