#include "CNghttp2.h"

int http2_options(nghttp2_option **options) {
    int result = nghttp2_option_new(options);
    if (result != 0) return result;
    // Windows open only when the other side of the proxy has taken the bytes: that is the backpressure.
    nghttp2_option_set_no_auto_window_update(*options, 1);
    // Answers to PING and SETTINGS that wait unsent; a peer that makes more of them is flooding.
    nghttp2_option_set_max_outbound_ack(*options, 256);
    // What the proxy reads it can send on: MAX_HEADER_BYTES is at most half of this. Beyond it a head would be dropped
    // silently, and its stream would stand still.
    nghttp2_option_set_max_send_header_block_length(*options, 2 << 20);
    return 0;
}
