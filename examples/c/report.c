/* The report of one film, with ONNX Runtime's C API alone. ../README.md says how it is built and used. */
#include <locale.h>
#include <math.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "film.h"
#include "model.h"
#include "optimized.h"
#include "words.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char USAGE[] =
    "usage: report report.onnx FILM.pgm [OPTION VALUE]...\n"
    "  --beam-width K, --max-length N, --min-length N, --length-penalty A   settings; else the file's own\n"
    "  --n-best N          print up to N reports, best first\n"
    "  --size WxH          the film is no PGM, but samples of one byte, or of two, the low one first\n"
    "  --optimized FOLDER  open the model as it was optimized for this machine, which is kept in FOLDER";
static const char *const OPTIONS[] = {"--beam-width", "--max-length", "--min-length", "--length-penalty",
                                      "--n-best",     "--size",       "--optimized"};
static const char *const SETTINGS[] = {"beam_width", "max_length", "min_length", "length_penalty"};
enum { LENGTH_PENALTY = 3, N_BEST, SIZE, OPTIMIZED };
enum { TOKENS, LENGTHS, SCORES, FINISHED };
static const char *const OUTPUTS[] = {"tokens", "lengths", "scores", "finished"};
static const OrtApi *ort;

static void die(const char *message, const char *detail) {
    fprintf(stderr, "Error: %s%s\n", message, detail);
    exit(1);
}

static void check(OrtStatus *status) {
    if (status) die(ort->GetErrorMessage(status), "");
}

/* A setting that was given, or the file's own one, of the JSON object `{"beam_width": 3, ...}`. */
static double setting(const char *given, const char *own, size_t which) {
    char key[32], *end;
    snprintf(key, sizeof key, "\"%s\": ", SETTINGS[which]);
    const char *found = given ? given : strstr(own, key);
    if (!found) die("the model doesn't say its ", SETTINGS[which]);
    if (!given) found += strlen(key);
    double value = strtod(found, &end);
    if (end == found || (given && *end) || !(fabs(value) < 1e15) || (which != LENGTH_PENALTY && value != floor(value)))
        die(OPTIONS[which], which == LENGTH_PENALTY ? " has to be a number" : " has to be a whole number");
    return value;
}

static OrtValue *scalar(const OrtMemoryInfo *memory, void *data, size_t size, ONNXTensorElementDataType type) {
    OrtValue *value;
    check(ort->CreateTensorWithDataAsOrtValue(memory, data, size, NULL, 0, type, &value));
    return value;
}

int main(int argc, char **argv) {
    const char *given[COUNT(OPTIONS)] = {0};
    char *end = "";
    if (argc < 3 || argc % 2 == 0) die(USAGE, "");
    for (int i = 3; i < argc; i += 2) {
        size_t option = 0;
        while (option < COUNT(OPTIONS) && strcmp(argv[i], OPTIONS[option])) option++;
        if (option == COUNT(OPTIONS)) die(USAGE, "");
        given[option] = argv[i + 1];
    }
    const long long count = given[N_BEST] ? strtoll(given[N_BEST], &end, 10) : 1;
    if (count < 1 || *end) die("--n-best", " has to be a whole number from 1");
    if (!setlocale(LC_CTYPE, "C.UTF-8")) die("this system has no locale C.UTF-8", "");
    if (!(ort = OrtGetApiBase()->GetApi(ORT_API_VERSION))) die("ONNX Runtime is older than its header", "");

    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtAllocator *allocator;
    OrtMemoryInfo *memory;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "report", &env));
    check(ort->CreateSessionOptions(&options));
    check(given[OPTIMIZED] ? open_optimized(ort, env, options, argv[1], given[OPTIMIZED], &session)
                           : ort->CreateSession(env, argv[1], options, &session));
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    char *texts[TEXTS];
    int is_whole;
    check(read_texts(ort, session, allocator, texts, &is_whole));
    if (!is_whole) die(argv[1], " is not a whole file of `cxrscribe onefile`; make it with --part whole");

    Film film = read_film(argv[2], given[SIZE], !strstr(texts[PREPROCESSING], "\"png_range\": \"used\""));
    if (film.wrong) die(argv[2], film.wrong);
    /* The first input is `film`, of any size, or `image`, as the network sees it, of which there may be many. */
    const int64_t shape[] = {1, film.height, film.width};
    const int many = !strcmp(texts[INPUT], "image");
    OrtValue *values[1 + COUNT(SETTINGS)], *results[COUNT(OUTPUTS)] = {0};
    check(ort->CreateTensorWithDataAsOrtValue(memory, film.pixels, (size_t)(film.height * film.width), shape + !many,
                                              many ? 3 : 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &values[0]));
    /* The settings have defaults, or, of a file made with `--settings inputs`, none: so they are always given. */
    const char *inputs[] = {texts[INPUT], SETTINGS[0], SETTINGS[1], SETTINGS[2], SETTINGS[3]};
    int64_t whole[LENGTH_PENALTY];
    for (size_t i = 0; i < LENGTH_PENALTY; i++) {
        whole[i] = (int64_t)setting(given[i], texts[OWN_SETTINGS], i);
        values[1 + i] = scalar(memory, &whole[i], sizeof whole[i], ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
    }
    float penalty = (float)setting(given[LENGTH_PENALTY], texts[OWN_SETTINGS], LENGTH_PENALTY);
    values[1 + LENGTH_PENALTY] = scalar(memory, &penalty, sizeof penalty, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
    size_t count_of_inputs;
    check(ort->SessionGetInputCount(session, &count_of_inputs));
    if (count_of_inputs > COUNT(values))
        die("the model takes what is known of a patient: make its file with --settings defaults", "");
    check(ort->Run(session, NULL, inputs, (const OrtValue *const *)values, COUNT(values), OUTPUTS, COUNT(results),
                   results));

    void *data[COUNT(OUTPUTS)];
    for (size_t i = 0; i < COUNT(OUTPUTS); i++) check(ort->GetTensorMutableData(results[i], &data[i]));
    OrtTensorTypeAndShapeInfo *info;
    int64_t sizes[3], words_count; /* sizes of the tokens: 1, K reports, T words */
    check(ort->GetTensorTypeAndShape(results[TOKENS], &info));
    check(ort->GetDimensions(info, sizes, COUNT(sizes)));
    char **words = split_words(texts[VOCABULARY], &words_count);
    if (!words) die("there is too little memory for the words of ", argv[1]);
    const int64_t *tokens = data[TOKENS];
    for (int64_t i = 0; i < sizes[1] * sizes[2]; i++)
        if (tokens[i] < 0 || tokens[i] >= words_count) die("the model's vocabulary is damaged: make the file anew", "");
    const double *scores = data[SCORES];
    if (isinf(scores[0])) die("the model found no report for ", argv[2]);
    for (int64_t k = 0; k < sizes[1] && k < count && !isinf(scores[k]); k++) {
        print_paragraph(words, tokens + k * sizes[2], ((int64_t *)data[LENGTHS])[k]);
        printf("score %.2f, %s\n", scores[k], ((unsigned char *)data[FINISHED])[k] ? "finished" : "cut off");
    }
    puts(texts[DISCLAIMER]);

    free(words), free(film.pixels);
    for (size_t i = 0; i < COUNT(values); i++) ort->ReleaseValue(values[i]);
    for (size_t i = 0; i < COUNT(results); i++) ort->ReleaseValue(results[i]);
    for (size_t i = 0; i < TEXTS; i++) check(ort->AllocatorFree(allocator, texts[i]));
    ort->ReleaseTensorTypeAndShapeInfo(info), ort->ReleaseMemoryInfo(memory), ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options), ort->ReleaseEnv(env);
    return 0;
}
