#include <sys/types.h>

/* For LD_PRELOAD: a program that refuses to run as root believes that it does not. */
uid_t getuid(void) { return 1000; }
uid_t geteuid(void) { return 1000; }
