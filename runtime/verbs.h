/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the command: each reads its own words and returns the exit status. argv[0] is the verb. */
#ifndef RUNTIME_VERBS_H
#define RUNTIME_VERBS_H

int verb_do(int argc, char **argv);
void help_do(void);
int verb_create(int argc, char **argv);
void help_create(void);
int verb_run(int argc, char **argv);
void help_run(void);
int verb_start(int argc, char **argv);
void help_start(void);
int verb_exec(int argc, char **argv);
void help_exec(void);
int verb_lifecycle(int argc, char **argv); /* state kill delete list ps pause resume wait events update spec features ... */
int verb_files(int argc, char **argv); /* cp tar diff */
void help_files(void);
int verb_root_keep(int argc, char **argv);
void help_root_keep(void);
int verb_harness(int argc, char **argv);
void help_harness(void);
int verb_image(int argc, char **argv);
void help_image(void);
int verb_bench(int argc, char **argv);
void help_bench(void);

/* `do`, once the configuration is built: become the monitor, or wait for it and report. */
struct build;
struct settings;
int run_to_end(struct build *b, const struct settings *s);

#endif
