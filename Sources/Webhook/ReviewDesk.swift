package import Injection
import Manifest

/// Answers admission reviews: a function of the request's bytes and the settings, without any I/O.
package struct ReviewDesk: Sendable {
    /// Which of the pods that the API server shows take part.
    package enum Invitation: Sendable {
        /// All but those that opt out: the server's selectors have chosen.
        case shown
        /// Those that ask for it themselves, by annotation or label.
        case asked
    }

    package enum Reply {
        case verdict(AdmissionRequest, AdmissionVerdict)
        /// The body is no review: a sentence.
        case malformed(String)
    }

    private let forAll: Injector
    private let forThoseWhoAsk: Injector

    /// - Parameter settings: whose `optIn` does not matter here.
    package init(_ settings: InjectionSettings) {
        var settings = settings
        settings.optIn = .namespace(isEnabled: true)
        forAll = Injector(settings)
        settings.optIn = .namespace(isEnabled: nil)
        forThoseWhoAsk = Injector(settings)
    }

    package func reply(to body: [UInt8], _ invitation: Invitation) -> Reply {
        do throws(AdmissionRequest.Malformed) {
            let request = try AdmissionRequest(body)
            return .verdict(request, try verdict(on: request, invitation))
        } catch {
            return .malformed(error.sentence)
        }
    }

    private func verdict(
        on request: AdmissionRequest, _ invitation: Invitation
    ) throws(AdmissionRequest.Malformed) -> AdmissionVerdict {
        switch request.operation {
        case .create, .update: break
        case .delete, .connect: return AdmissionVerdict(.skipped(SkipReason("nothing is made", isNoteworthy: false)))
        }
        guard let object = request.object else {
            throw AdmissionRequest.Malformed(
                sentence: "request.object is missing, and \(request.operation.rawValue) has one")
        }
        if request.operation == .update, request.kind == "Pod" {
            let reason = SkipReason("the containers of a pod that exists cannot change", isNoteworthy: false)
            return AdmissionVerdict(.skipped(reason))
        }
        switch invitation {
        case .shown: return AdmissionVerdict(forAll.outcome(for: object))
        case .asked: return AdmissionVerdict(forThoseWhoAsk.outcome(for: object))
        }
    }
}
