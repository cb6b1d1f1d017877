#include "film.h"

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

Film read_film(const char *path, const char *size, int is_full) {
    Film film = {0};
    int64_t most = 255;
    FILE *file = fopen(path, "rb");
    if (!file) return (Film){.wrong = " can't be opened"};
    int has_size = size ? sscanf(size, "%" SCNd64 "x%" SCNd64, &film.width, &film.height) == 2
                        : fscanf(file, "P5 %" SCNd64 " %" SCNd64 " %" SCNd64, &film.width, &film.height, &most) == 3 &&
                              fgetc(file) != EOF;
    if (!has_size)
        film.wrong = size ? " needs a size like 2500x2048" : " is no binary PGM without comments; of raw samples say --size WxH";
    else if (most < 255 || most > 65535) film.wrong = " has a largest value out of 255 to 65535";
    else if (film.width < 16 || film.width > 20000 || film.height < 16 || film.height > 20000)
        film.wrong = " has a side out of 16 to 20000";
    else {
        size_t count = (size_t)(film.width * film.height);
        film.pixels = malloc(2 * count + 1);
        size_t got = film.pixels ? fread(film.pixels, 1, 2 * count + 1, file) : 0;
        if (got == 2 * count && (size || most > 255)) show(film.pixels, count, size == NULL, is_full);
        else if (got != count || most != 255) film.wrong = " has more or fewer samples than its size says";
    }
    fclose(file);
    return film;
}
