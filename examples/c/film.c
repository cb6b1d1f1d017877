#include "film.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* To one byte a sample, in place. */
static void show(unsigned char *samples, size_t count, size_t low_byte, int is_full) {
    int least = 65535, largest = 0;
    for (size_t i = 0; i < count; i++) {
        int value = samples[2 * i + !low_byte] * 256 + samples[2 * i + low_byte];
        if (value < least) least = value;
        if (value > largest) largest = value;
    }
    double range = largest > least ? largest - least : 1;
    for (size_t i = 0; i < count; i++) {
        int value = samples[2 * i + !low_byte] * 256 + samples[2 * i + low_byte];
        samples[i] = (unsigned char)(is_full ? (value + 128) / 257 : rint((value - least) / range * 255));
    }
}

#define NUMBER "%18" SCNd64 /* of as many digits as 64 bits hold, whatever they are */
#define BLANK "%*[ \t\r\n]"

/* "WxH" and nothing else. */
static int parse_size(const char *size, Film *film) {
    int end = 0;
    return sscanf(size, NUMBER "x" NUMBER "%n", &film->width, &film->height, &end) == 2 && !size[end];
}

Film read_film(const char *path, const char *size, int is_full) {
    Film film = {0};
    int64_t most = 255;
    FILE *file = fopen(path, "rb");
    if (!file) return (Film){.wrong = " can't be opened"};
    int has_size = size ? parse_size(size, &film)
                        : fscanf(file, "P5" BLANK NUMBER BLANK NUMBER BLANK NUMBER, &film.width, &film.height,
                                 &most) == 3 && isspace(fgetc(file));
    if (!has_size)
        film.wrong = size ? " needs a size like 2500x2048"
                          : " is no binary PGM without comments; of raw samples say --size WxH";
    else if (most < 255 || most > 65535) film.wrong = " has a largest value out of 255 to 65535";
    else if (film.width < 16 || film.width > 20000 || film.height < 16 || film.height > 20000)
        film.wrong = " has a side out of 16 to 20000";
    else if (film.width * film.height > 100000000) film.wrong = " has more than 100 megapixels";
    else {
        size_t count = (size_t)(film.width * film.height);
        film.pixels = malloc(2 * count + 1);
        size_t got = film.pixels ? fread(film.pixels, 1, 2 * count + 1, file) : 0;
        if (!film.pixels) film.wrong = " needs more memory than there is";
        else if (got == 2 * count && (size || most > 255)) show(film.pixels, count, size == NULL, is_full);
        else if (got != count || most != 255) film.wrong = " has more or fewer samples than its size says";
    }
    fclose(file);
    return film;
}
