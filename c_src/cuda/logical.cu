/* logical.cu: and, or, not on bools. `all` and `any` are in reduce.cu.
