/** Who asks, and who may do what: Basic, bearer tokens, API keys, certificates, pre-shared keys, and one set of rules for every protocol. */

export {}
