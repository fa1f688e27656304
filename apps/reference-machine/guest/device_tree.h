/* A connector's device tree, fetched token by token, and what of it the guest wants to know. */
#ifndef DEVICE_TREE_H
#define DEVICE_TREE_H

#include "base.h"

struct tree_walk {
  u32 tokens;
  u32 nodes;
  u32 properties;
  u32 depth;
  u32 checksum; /* of all tokens, names and values so far */
  u32 expected; /* what the tree says that it comes to */
  bool has_expected;
  u32 slot; /* device << 3 | function, from the outermost node's "reg" */
  bool has_slot;
};

enum tree_step {
  TREE_GOES_ON,
  TREE_LATER, /* firmware is busy: ask again */
  TREE_WHOLE, /* the end, and all is as it should be */
  TREE_WRONG,
};

/* Aims at a connector's tree, from its first token. */
void tree_begin(struct tree_walk *walk, u32 connector);

/* Fetches one token. */
enum tree_step tree_step(struct tree_walk *walk);

#endif
