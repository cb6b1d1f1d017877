#ifndef FILM_H
#define FILM_H
#include <stdint.h>

typedef struct {
    int64_t height, width;
    unsigned char *pixels; /* [height, width], black is 0; to be freed */
    const char *wrong;     /* what is wrong with the file, or NULL */
} Film;

/* Reads a binary PGM, or, where `size` says "WxH", a file without header of W * H samples. Samples are one byte, or two:
 * in PGM the high one comes first, in other files the low one. Two are shown as docs/films.md says of 16-bit grey: from
 * the least value to the largest, or, `is_full`, from 0 to 65535. */
Film read_film(const char *path, const char *size, int is_full);
#endif
