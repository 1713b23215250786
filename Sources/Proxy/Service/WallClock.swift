import CLinux

/// The time of day, and the time that passes.
package enum WallClock {
    /// Seconds since the epoch.
    package static var seconds: Int64 { linux_wall_microseconds() / 1_000_000 }
    /// Microseconds of the monotonic clock.
    package static var monotonicMicroseconds: Int64 { linux_monotonic_microseconds() }
}
