/*
 * Functions that are too easy to get wrong become compile errors. Included in every file by the
 * build (-include), after the headers that declare them.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIR_BANNED(name) mir_banned_function_##name

#undef strcpy
#define strcpy(d, s) MIR_BANNED(strcpy)
#undef strcat
#define strcat(d, s) MIR_BANNED(strcat)
#undef strncpy
#define strncpy(d, s, n) MIR_BANNED(strncpy)
#undef strncat
#define strncat(d, s, n) MIR_BANNED(strncat)
#undef strtok
#define strtok(s, d) MIR_BANNED(strtok)
#undef sprintf
#define sprintf(...) MIR_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) MIR_BANNED(vsprintf)
#undef atoi
#define atoi(s) MIR_BANNED(atoi)
#undef atol
#define atol(s) MIR_BANNED(atol)
#undef gmtime
#define gmtime(t) MIR_BANNED(gmtime)
#undef localtime
#define localtime(t) MIR_BANNED(localtime)
#undef ctime
#define ctime(t) MIR_BANNED(ctime)

#endif
