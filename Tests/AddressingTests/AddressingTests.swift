import Addressing
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1", "fd00:77::2", "2001:db8::ff00:42:8329"])
    func textRoundTrips(_ text: String) throws {
        #expect(try #require(IPAddress(text)).description == text)
    }

    @Test func mappedAddressIsItsIPv4Address() {
        #expect(IPAddress("::ffff:10.1.2.3") == IPAddress("10.1.2.3"))
    }

    @Test(arguments: ["", "1.2.3", "1.2.3.256", "01.2.3.4x", "::g", "[::1]", "fe80::1%eth0", "localhost"])
    func otherTextIsRefused(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func bytesAreInNetworkOrder() {
        #expect(IPAddress("10.1.2.3")?.bytes == [10, 1, 2, 3])
        #expect(IPAddress("::1")?.bytes == [UInt8](repeating: 0, count: 15) + [1])
    }
}

@Suite struct CIDRTests {
    @Test func clearsHostBits() throws {
        #expect(try #require(CIDR("10.1.2.3/8")).description == "10.0.0.0/8")
        #expect(try #require(CIDR("fd12:3456::1/7")).description == "fc00::/7")
        #expect(try #require(CIDR("::1/0")).description == "::/0")
    }

    @Test func containsOnlyItsOwn() throws {
        let block = try #require(CIDR("172.16.0.0/12"))
        #expect(block.contains(try #require(IPAddress("172.31.255.255"))))
        #expect(!block.contains(try #require(IPAddress("172.32.0.0"))))
        #expect(!block.contains(try #require(IPAddress("::1"))))
    }

    @Test(arguments: ["", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0.0/8/8"])
    func otherTextIsRefused(_ text: String) {
        #expect(CIDR(text) == nil)
    }
}

@Suite struct PortSetTests {
    @Test func mergesAndPrints() throws {
        #expect(try PortSet(parsing: "8000-8100,80,8101, 443").description == "80,443,8000-8101")
        #expect(try PortSet(parsing: "*").isAll)
        #expect(try PortSet(parsing: "").isEmpty)
    }

    @Test(arguments: ["0", "65536", "80-", "90-80", "a", "80,,90", "80,", "-1", "1-2-3", "+80"])
    func namesTheWrongPart(_ text: String) {
        #expect(throws: PortSet.Malformed.self) { try PortSet(parsing: text) }
    }
}
