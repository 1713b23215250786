import CLinux

/// Gives up every privilege that the data plane does not need.
///
/// Transparent mode keeps CAP_NET_RAW: each upstream socket gets the proxy mark (SO_MARK) and, where the client's
/// address is preserved, a foreign source. Explicit mode keeps nothing. Call it before any thread starts: a
/// capability set belongs to a thread.
package enum Privileges {
    private static let netRaw = UInt64(1) << UInt64(LINUX_CAP_NET_RAW)
    private static let netAdmin = UInt64(1) << UInt64(LINUX_CAP_NET_ADMIN)

    /// Makes a permitted capability effective: the image's file capability grants it permitted only, so that the
    /// binary also starts where the container does not allow it.
    package static func raise() throws(SystemError) {
        let permitted = UInt64(max(0, linux_permitted_capabilities()))
        guard permitted != 0 else { return }
        try SystemError.check("capset", linux_set_capabilities(permitted))
    }

    /// SO_MARK and IP_TRANSPARENT are open to CAP_NET_RAW and to CAP_NET_ADMIN.
    static var allowTransparency: Bool {
        linux_has_capability(LINUX_CAP_NET_RAW) == 1 || linux_has_capability(LINUX_CAP_NET_ADMIN) == 1
    }

    /// - Parameter user: whom root becomes; nil to stay. Other users stay who they are.
    static func drop(keepingNetRaw: Bool, becoming user: UInt32?) throws(SystemError) {
        try SystemError.check("prctl PR_SET_NO_NEW_PRIVS", linux_no_new_privileges())
        var kept: UInt64 = 0
        if keepingNetRaw {
            // CAP_NET_ADMIN alone serves as well; it is kept only where CAP_NET_RAW is missing.
            let permitted = UInt64(max(0, linux_permitted_capabilities()))
            kept = permitted & netRaw != 0 ? netRaw : permitted & netAdmin
        }
        if let user, linux_user() == 0, linux_may_change_user() == 1 {
            try SystemError.check("prctl PR_SET_KEEPCAPS", linux_keep_capabilities())
            try SystemError.check("setresuid", linux_become(user, user))
        }
        try SystemError.check("capset", linux_set_capabilities(kept))
    }
}
