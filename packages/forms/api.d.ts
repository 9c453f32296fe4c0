// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
