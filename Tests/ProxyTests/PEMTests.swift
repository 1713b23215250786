import Testing

@testable import Proxy

/// What is whole, and what only looks so.
struct PEMTests {
    private let first = Authority("A").pair.certificatePEM
    private let second = Authority("B").pair.certificatePEM

    private func count(_ text: String) -> Int? { PEM.certificates(Array(text.utf8))?.count }

    private func fault(_ text: String) -> PEM.Fault? {
        do throws(PEM.Fault) {
            _ = try PEM.readCertificates(Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }

    /// A file that is being written is read at any of its bytes.
    @Test func aBundleIsWholeOrDamagedWhereverItIsCut() {
        let text = Array((first + second).utf8)
        let whole = [first.utf8.count - 1, first.utf8.count, text.count - 1, text.count]
        for length in 1...text.count {
            let found = PEM.certificates(Array(text.prefix(length)))
            #expect((found != nil) == whole.contains(length), "cut after \(length) of \(text.count) bytes")
        }
    }

    @Test func theNumberOfTheDamagedOneIsTold() {
        #expect(fault("") == .empty)
        #expect(fault("# nothing\n") == .noCertificate)
        #expect(fault("-----BEGIN CERT") == .damaged(number: 1))
        #expect(fault(first + "-----BEGIN CERTIFICATE") == .damaged(number: 2))
        #expect(fault(first + second.prefix(100)) == .damaged(number: 2))
        #expect(fault(first + "-----BEGIN CERTIF\n" + second) == .damaged(number: 3))
    }

    @Test(arguments: [
        "# a comment\n", "subject=CN = x\n\n", "----- text -----\n", "-----------\n", "# -----BEGIN\n", "\0\0\n",
    ])
    func textAroundCertificatesIsAComment(_ comment: String) {
        #expect(count(comment + first) == 1)
        #expect(count(first + comment + second) == 2)
        #expect(count(first + second + comment) == 2)
    }

    @Test func linesMayEndAsTheyDoElsewhere() {
        let text = (first + second).split(separator: "\n").joined(separator: " \r\n")
        #expect(count(text) == 2)
    }
}
