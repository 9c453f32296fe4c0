// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Context, MiddlewareObject } from "@iopa/appbuilder";
type Encoding = "br" | "zstd" | "gzip";
interface CompressOptions {
    readonly encodings?: readonly Encoding[];
    readonly threshold?: number;
    readonly level?: Readonly<Partial<Record<Encoding, number>>>;
    readonly filter?: (context: Context) => boolean;
    readonly concurrency?: number;
}
declare const compress: (options?: CompressOptions) => MiddlewareObject & {
    readonly name: string;
};
export { compress };
export type { CompressOptions, Encoding };
