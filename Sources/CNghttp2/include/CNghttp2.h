// libnghttp2 for Swift: the header as it is, and what a Swift caller would otherwise repeat.
#pragma once

#include <nghttp2/nghttp2.h>

/// Limits that both sides of a connection share; 0, or an error code of the library.
int http2_options(nghttp2_option **options);
