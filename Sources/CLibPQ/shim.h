// PostgreSQL's C client library. pkg-config (libpq.pc) says where the header is.
#include <libpq-fe.h>
