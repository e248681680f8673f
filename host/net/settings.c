#include "net/settings.h"

const struct net_settings net_settings_default = {
    .read_timeout = 14 * 60,
    .send_timeout = 180,
    .connect_timeout = 20,
    .handshake_timeout = 60,
    .accept_pause = 0.05,
    .min_wait = 0.001,
    .read_size = 8192,
    .line_limit = 8192,
    .max_send_buffer_size = (size_t)32 << 20,
    .max_send_chunk = (size_t)4 << 20,
    .tcp_backlog = 4096,
};
