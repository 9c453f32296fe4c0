// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Extension } from "@iopa/appbuilder/extension";
import { Context } from "@iopa/appbuilder";
type OriginCheck = (origin: string, context: Context) => boolean | Promise<boolean>;
interface CorsOptions {
    readonly origin?: string | readonly string[] | OriginCheck;
    readonly methods?: readonly string[];
    readonly allowHeaders?: readonly string[];
    readonly exposeHeaders?: readonly string[];
    readonly credentials?: boolean;
    readonly maxAge?: number;
    readonly privateNetwork?: boolean;
}
declare const cors: (options?: CorsOptions) => Extension<object> & {
    readonly neutral: true;
};
export { cors };
export type { CorsOptions, OriginCheck };
