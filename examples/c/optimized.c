#define _POSIX_C_SOURCE 200809L
#include "optimized.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST 4096
#define SMALLEST_WEIGHT "1024" /* bytes: smaller ones stay in the graph */

/* FNV-1a */
static uint64_t add(uint64_t hash, const void *bytes, size_t count) {
    for (const unsigned char *byte = bytes; count--; byte++) hash = (hash ^ *byte) * UINT64_C(1099511628211);
    return hash;
}

/* What Linux says of the first processor: its name and instruction sets, not its speed of the moment. */
static uint64_t add_processor(uint64_t hash) {
    char line[LONGEST];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file) && *line != '\n')
        if (!strncmp(line, "model name", 10) || !strncmp(line, "flags", 5) || !strncmp(line, "Features", 8) ||
            !strncmp(line, "CPU ", 4))
            hash = add(hash, line, strlen(line));
    if (file) fclose(file);
    return hash;
}

/* With the folders above it. */
static int make_folder(const char *folder) {
    char path[LONGEST];
    if (snprintf(path, sizeof path, "%s", folder) >= LONGEST) return ENAMETOOLONG;
    for (char *end = path + 1; *path; *end++ = '/') {
        while (*end && *end != '/') end++;
        const int is_last = !*end;
        *end = 0;
        if (mkdir(path, 0777) && errno != EEXIST) return errno;
        if (is_last) break;
    }
    return 0;
}

/* Writes the graph, and a file of its weights; what it began it removes where that fails. */
static OrtStatus *write_graph(const OrtApi *ort, const OrtEnv *env, const OrtSessionOptions *options, const char *model,
                              const char *folder, const char *graph) {
    char unfinished[LONGEST + 64], weights[LONGEST + 64];
    const int length = (int)strlen(graph) - (int)strlen(".onnx");
    snprintf(unfinished, sizeof unfinished, "%.*s.%ld.part", length, graph, (long)getpid());
    snprintf(weights, sizeof weights, "%.*s.%ld.weights", length, graph, (long)getpid());
    OrtSessionOptions *own;
    OrtSession *session = NULL;
    OrtStatus *wrong = ort->CloneSessionOptions(options, &own);
    if (wrong) return wrong;
    (void)((wrong = ort->SetOptimizedModelFilePath(own, unfinished)) ||
           (wrong = ort->AddSessionConfigEntry(own, "session.optimized_model_external_initializers_file_name",
                                               weights + strlen(folder) + 1)) ||
           (wrong = ort->AddSessionConfigEntry(
                own, "session.optimized_model_external_initializers_min_size_in_bytes", SMALLEST_WEIGHT)) ||
           /* This session runs nothing: to rearrange its weights would only take time and memory. */
           (wrong = ort->AddSessionConfigEntry(own, "session.disable_prepacking", "1")) ||
           (wrong = ort->CreateSession(env, model, own, &session)));
    ort->ReleaseSessionOptions(own);
    ort->ReleaseSession(session);
    if (!wrong && rename(unfinished, graph)) wrong = ort->CreateStatus(ORT_FAIL, "the optimized graph can't be written");
    if (wrong) remove(unfinished), remove(weights);
    return wrong;
}

static OrtStatus *open_graph(const OrtApi *ort, const OrtEnv *env, const OrtSessionOptions *options, const char *graph,
                             OrtSession **session) {
    OrtSessionOptions *own;
    OrtStatus *wrong = ort->CloneSessionOptions(options, &own);
    if (wrong) return wrong;
    if (!(wrong = ort->SetSessionGraphOptimizationLevel(own, ORT_DISABLE_ALL)))
        wrong = ort->CreateSession(env, graph, own, session);
    ort->ReleaseSessionOptions(own);
    return wrong;
}

OrtStatus *open_optimized(const OrtApi *ort, const OrtEnv *env, const OrtSessionOptions *options, const char *model,
                          const char *folder, OrtSession **session) {
    struct stat status;
    if (stat(model, &status)) return ort->CreateStatus(ORT_NO_SUCHFILE, "the model can't be read: check its path");
    int64_t kind[] = {(int64_t)status.st_size, (int64_t)status.st_mtim.tv_sec, (int64_t)status.st_mtim.tv_nsec};
    const char *release = OrtGetApiBase()->GetVersionString();
    uint64_t hash = add(UINT64_C(14695981039346656037), kind, sizeof kind);
    hash = add_processor(add(hash, release, strlen(release)));

    char graph[LONGEST];
    if (snprintf(graph, sizeof graph, "%s/%016" PRIx64 ".onnx", folder, hash) >= LONGEST)
        return ort->CreateStatus(ORT_INVALID_ARGUMENT, "the path is too long");
    OrtStatus *wrong;
    if (!access(graph, R_OK)) {
        if (!(wrong = open_graph(ort, env, options, graph, session))) return NULL;
        ort->ReleaseStatus(wrong); /* it is damaged, or its weights are: it is written anew */
    }
    if (make_folder(folder)) return ort->CreateStatus(ORT_FAIL, "the folder of the optimized graph can't be made");
    wrong = write_graph(ort, env, options, model, folder, graph);
    return wrong ? wrong : open_graph(ort, env, options, graph, session);
}
