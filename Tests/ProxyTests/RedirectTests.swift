import Addressing
import Testing

@testable import Proxy

@Suite struct RedirectTests {
    private let pod = IPAddress(v4: 0x0a00_0001)

    private func follow(_ location: String, from target: String = "/a/b?q=1", over tls: Bool = false) -> Redirect {
        let fields = [HTTPQuestion.Field(name: "A", value: "b")]
        let question = HTTPQuestion(port: 8080, isTLS: tls, target: target, fields: fields)
        return Redirect.from(question, to: location, pod: pod)
    }

    private func question(_ target: String, port: UInt16 = 8080, isTLS: Bool = false) -> Redirect {
        .to(HTTPQuestion(port: port, isTLS: isTLS, target: target, fields: [.init(name: "A", value: "b")]))
    }

    @Test(arguments: [
        ("/x", "/x"), ("/x?y=z", "/x?y=z"), ("/x#part", "/x"), ("?y", "/a/b?y"), ("c", "/a/c"), ("c/d?e", "/a/c/d?e"),
        ("", "/a/b?q=1"), ("#part", "/a/b?q=1"), ("/x:y", "/x:y"), ("c?x=http://y", "/a/c?x=http://y"),
    ])
    func aRelativeLocationStaysHere(_ location: String, _ target: String) {
        #expect(follow(location) == question(target))
        #expect(follow(location, over: true) == question(target, isTLS: true))
    }

    @Test func anAbsoluteLocationOfThePodIsFollowed() {
        #expect(follow("http://10.0.0.1/x") == question("/x", port: 80))
        #expect(follow("http://10.0.0.1:8080") == question("/"))
        #expect(follow("http://10.0.0.1:8080?y") == question("/?y"))
        #expect(follow("HTTPS://10.0.0.1:8443/x#y") == question("/x", port: 8443, isTLS: true))
        #expect(follow("//10.0.0.1/x") == question("/x", port: 80))
        #expect(follow("//10.0.0.1/x", over: true) == question("/x", port: 443, isTLS: true))
        let six = IPAddress(v6: 0xfd00 << 112 | 1)
        let from = HTTPQuestion(port: 80, isTLS: false, target: "/", fields: [])
        #expect(
            Redirect.from(from, to: "http://[fd00::1]:81/x", pod: six)
                == .to(HTTPQuestion(port: 81, isTLS: false, target: "/x", fields: [])))
    }

    @Test(arguments: ["http://10.0.0.2/", "http://web/x", "//web", "https://10.0.0.1.example/", "http://127.0.0.1/"])
    func elsewhereIsNotFollowed(_ location: String) { #expect(follow(location) == .elsewhere) }

    @Test(arguments: [
        "/a b", "/é", "http://", "http:///x", "http://10.0.0.1:x/", "http://10.0.0.1:99999/", "h2c://10.0.0.1/",
        "ftp://10.0.0.1/", "mailto:x", "http://a@10.0.0.1/", "http://[fd00::1/",
    ])
    func nonsenseIsMalformed(_ location: String) { #expect(follow(location) == .malformed) }

    @Test func statusesThatRedirect() {
        #expect((200..<600).filter { Redirect.isFollowed(UInt16($0)) } == [301, 302, 303, 307, 308])
    }
}
