/* Log lines to stderr, one event a line, with the <N> priority prefix that systemd reads. On a
 * terminal the prefix is left out. Nothing is logged per request above debug; a line that
 * cannot be written is dropped, never waited for longer than one write(2). */
#pragma once

#include <stdbool.h>

enum vn_log_level {
    VN_LOG_ERROR = 3,
    VN_LOG_WARNING = 4,
    VN_LOG_NOTICE = 5,
    VN_LOG_INFO = 6,
    VN_LOG_DEBUG = 7,
};

/* Lines above this level are dropped; starts at VN_LOG_INFO. */
void vn_log_set_level(enum vn_log_level level);

/* Whether lines of this level are written: for those that cost something to put together. */
bool vn_log_wants(enum vn_log_level level);

void vn_log(enum vn_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define vn_log_error(...) vn_log(VN_LOG_ERROR, __VA_ARGS__)
#define vn_log_warning(...) vn_log(VN_LOG_WARNING, __VA_ARGS__)
#define vn_log_notice(...) vn_log(VN_LOG_NOTICE, __VA_ARGS__)
#define vn_log_info(...) vn_log(VN_LOG_INFO, __VA_ARGS__)
#define vn_log_debug(...) vn_log(VN_LOG_DEBUG, __VA_ARGS__)
