/* Classifies an image file with a SavedModel, through TensorFlow's C library.

   classify MODEL INPUT OUTPUT IMAGE

   MODEL is the folder of a version; INPUT and OUTPUT are the operations behind the signature
   serving_default, as `saved_model_cli show --dir MODEL --all` prints them, without ":0". Prints a
   line for each of the best classes: its score, and its name. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>
#include <tensorflow/c/tf_tstring.h>

/* The signature's outputs are numbered in the order of their names: scores, top_classes, ... */
enum { TOP_NAMES = 2, TOP_SCORES = 3 };

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path, "cannot be opened");
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *contents = malloc(*size);
  if (contents == NULL || fread(contents, 1, *size, file) != *size) fail(path, "cannot be read");
  fclose(file);
  return contents;
}

static TF_Output output(TF_Graph *graph, const char *name, int index) {
  TF_Output found = {TF_GraphOperationByName(graph, name), index};
  if (found.oper == NULL) fail(name, "no such operation in the model");
  return found;
}

int main(int count, char **arguments) {
  if (count != 5) fail("usage", "classify MODEL INPUT OUTPUT IMAGE");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tag = "serve";
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], &tag, 1, graph,
                                                     NULL, status);
  check(status, arguments[1]);

  size_t size;
  char *contents = read_file(arguments[4], &size);
  const int64_t batch_of_one = 1;
  TF_Tensor *image = TF_AllocateTensor(TF_STRING, &batch_of_one, 1, sizeof(TF_TString));
  TF_TString *text = TF_TensorData(image);
  TF_StringInit(text);
  TF_StringCopy(text, contents, size);

  TF_Output input = output(graph, arguments[2], 0);
  TF_Output outputs[] = {output(graph, arguments[3], TOP_NAMES),
                         output(graph, arguments[3], TOP_SCORES)};
  TF_Tensor *results[2] = {NULL, NULL};
  TF_SessionRun(session, NULL, &input, &image, 1, outputs, results, 2, NULL, 0, NULL, status);
  check(status, arguments[4]);

  const TF_TString *names = TF_TensorData(results[0]);
  const float *scores = TF_TensorData(results[1]);
  for (int64_t i = 0; i < TF_Dim(results[1], 1); i++) {
    printf("%.7f %.*s\n", scores[i], (int)TF_StringGetSize(&names[i]),
           TF_StringGetDataPointer(&names[i]));
  }

  TF_DeleteTensor(results[0]);
  TF_DeleteTensor(results[1]);
  TF_DeleteTensor(image);
  free(contents);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
