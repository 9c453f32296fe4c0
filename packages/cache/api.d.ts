// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Context, Next, defineMiddleware } from "@iopa/appbuilder";
import { Extension } from "@iopa/appbuilder/extension";
interface CacheOptions {
    readonly ttl?: number;
    readonly size?: number;
    readonly entries?: number;
    readonly key?: (context: Context) => string | undefined;
    readonly vary?: readonly string[];
    readonly stale?: number;
    readonly shared?: boolean;
}
type CacheExtension = Extension<Record<never, never>> & {
    invoke(context: Context, next: Next): unknown;
};
declare const cache: (options?: CacheOptions) => CacheExtension;
type CacheMiddleware = ReturnType<typeof defineMiddleware<never, never>>;
declare const etag: () => CacheMiddleware;
interface CacheControlOptions {
    readonly maxAge?: number;
    readonly sMaxAge?: number;
    readonly staleWhileRevalidate?: number;
    readonly public?: boolean;
    readonly private?: boolean;
    readonly noCache?: boolean;
    readonly noStore?: boolean;
    readonly noTransform?: boolean;
    readonly mustRevalidate?: boolean;
    readonly immutable?: boolean;
}
declare const cacheControl: (options: CacheControlOptions) => CacheMiddleware;
export { cache, cacheControl, etag };
export type { CacheControlOptions, CacheExtension, CacheMiddleware, CacheOptions };
