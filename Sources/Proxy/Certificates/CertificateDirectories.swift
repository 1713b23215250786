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

/// Everything that is wrong with the certificate directories, a sentence each.
package struct CertificateProblems: Error, Equatable {
    package let sentences: [String]
}
