// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
interface OscoreContextOptions {
    readonly id: string;
    readonly masterSecret: Uint8Array;
    readonly masterSalt?: Uint8Array;
    readonly senderId: Uint8Array;
    readonly recipientId: Uint8Array;
    readonly idContext?: Uint8Array;
    readonly algorithm?: "AES-CCM-16-64-128" | "A128GCM";
}
interface OscoreOptions {
    readonly contexts: readonly OscoreContextOptions[];
    readonly require?: boolean | ((path: string) => boolean);
}
export type { OscoreContextOptions, OscoreOptions };
