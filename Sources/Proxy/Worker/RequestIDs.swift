/// Makes request ids: random UUIDs (RFC 9562 version 4) as text.
///
/// They name requests in logs and guard nothing, so a fast generator seeded once by the kernel is enough: the
/// system's generator would cost a system call per request.
struct RequestIDs {
    private var state: UInt64

    init() { state = UInt64.random(in: .min ... .max) }

    init(seed: UInt64) { state = seed }

    static let byteCount = 36

    mutating func append(to text: inout [UInt8]) {
        var high = next()
        var low = next()
        high = high & 0xffff_ffff_ffff_0fff | 0x4000
        low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        // The groups of eight, four, four, four and twelve digits begin at 0, 9, 14, 19 and 24.
        var id = InlineArray<36, UInt8>(repeating: UInt8(ascii: "-"))
        var characters = id.mutableSpan
        var places = unsafe characters.mutableBytes
        let versions = RequestIDs.hexadecimal(high & 0xffff_ffff)
        let variants = RequestIDs.hexadecimal(low >> 32)
        places.storeBytes(of: RequestIDs.hexadecimal(high >> 32).bigEndian, toByteOffset: 0, as: UInt64.self)
        places.storeBytes(of: UInt32(versions >> 32).bigEndian, toByteOffset: 9, as: UInt32.self)
        places.storeBytes(of: UInt32(truncatingIfNeeded: versions).bigEndian, toByteOffset: 14, as: UInt32.self)
        places.storeBytes(of: UInt32(variants >> 32).bigEndian, toByteOffset: 19, as: UInt32.self)
        places.storeBytes(of: UInt32(truncatingIfNeeded: variants).bigEndian, toByteOffset: 24, as: UInt32.self)
        places.storeBytes(of: RequestIDs.hexadecimal(low & 0xffff_ffff).bigEndian, toByteOffset: 28, as: UInt64.self)
        unsafe id.span.withUnsafeBufferPointer { unsafe text.append(contentsOf: $0) }
    }

    /// The eight digits of a 32-bit number as text, the first in the highest byte: all of them at a time.
    private static func hexadecimal(_ value: UInt64) -> UInt64 {
        var nibbles = (value | value << 16) & 0x0000_ffff_0000_ffff
        nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f
        // 39 more for `a` to `f`: a nibble above 9 carries into bit 4 when 6 is added.
        let letters = (nibbles &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 39
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
    private mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
