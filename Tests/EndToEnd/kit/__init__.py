"""What the end-to-end tests share: certificates, processes, namespaces, applications, wire capture."""
