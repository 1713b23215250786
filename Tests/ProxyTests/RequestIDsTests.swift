import Testing

@testable import Proxy

@Suite struct RequestIDsTests {
    private func make(_ ids: inout RequestIDs) -> String {
        var text: [UInt8] = []
        ids.append(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    @Test func everyOneIsAUUIDOfVersion4AndNoTwoAreTheSame() throws {
        var ids = RequestIDs(seed: 42)
        var seen: Set<String> = []
        // Every digit that may take any value takes all of them.
        var digits = [Set<Character>](repeating: [], count: RequestIDs.byteCount)
        for _ in 0..<10_000 {
            let id = make(&ids)
            try #require(id.utf8.count == RequestIDs.byteCount)
            for (place, character) in id.enumerated() { digits[place].insert(character) }
            seen.insert(id)
        }
        #expect(seen.count == 10_000)
        for place in digits.indices {
            let expected =
                switch place {
                case 8, 13, 18, 23: "-"
                case 14: "4"
                case 19: "89ab"
                case _: "0123456789abcdef"
                }
            #expect(digits[place] == Set(expected), "place \(place)")
        }
    }

    @Test func generatorsAreSeededApart() {
        var (one, other) = (RequestIDs(), RequestIDs())
        #expect(make(&one) != make(&other))
    }

    @Test func anIDGoesBehindWhatIsThere() {
        var ids = RequestIDs(seed: 1)
        var text = Array("id: ".utf8)
        ids.append(to: &text)
        #expect(text.count == 4 + RequestIDs.byteCount)
        #expect(text.starts(with: "id: ".utf8))
    }
}
