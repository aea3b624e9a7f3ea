/* print.h: what threads of the card print is held back until the host waits for them. print.cpp */
#ifndef LAB_PRINT_H
#define LAB_PRINT_H

#include <stdarg.h>

namespace lab {

/* printf of a kernel; returns the number of arguments, as on a card. */
int print_later(const char *format, va_list arguments);

/* The host waited: what was printed appears on stdout. */
void flush_output();

/* At exit: says that output was lost, if the host never waited for it. */
void look_for_lost_output();

}

#endif
