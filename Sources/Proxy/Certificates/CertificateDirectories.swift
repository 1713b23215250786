/// The directories that certificates come from.
package struct CertificateDirectories: Sendable, Equatable {
    package var server: String
    package var client: String
    package var ca: String

    package init(server: String, client: String, ca: String) {
        self.server = server
        self.client = client
        self.ca = ca
    }
}
