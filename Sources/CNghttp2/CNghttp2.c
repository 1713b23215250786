#include "CNghttp2.h"

int http2_options(nghttp2_option **options) {
    int result = nghttp2_option_new(options);
    if (result != 0) return result;
    // Windows open only when the other side of the proxy has taken the bytes: that is the backpressure.
    nghttp2_option_set_no_auto_window_update(*options, 1);
    // Answers to PING and SETTINGS that wait unsent; a peer that makes more of them is flooding.
    nghttp2_option_set_max_outbound_ack(*options, 256);
    // Heads are bounded when they are received. A larger one would not be sent, and its stream never be answered.
    nghttp2_option_set_max_send_header_block_length(*options, 1 << 20);
    return 0;
}
