// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Context, Next } from "@iopa/appbuilder";
import { Extension } from "@iopa/appbuilder/extension";
import { ConnectOptions, Client } from "@iopa/transport";
interface UpstreamClient {
    connect(url: string | URL, options?: ConnectOptions): Promise<Client>;
}
interface CoapProxyOptions {
    readonly targets?: readonly (string | URL)[];
    readonly client: UpstreamClient;
    readonly path?: string;
    readonly hopLimit?: number;
    readonly connections?: number;
    readonly idleTimeout?: number;
    readonly timeout?: number;
    readonly observations?: number;
    readonly lookup?: (host: string) => Promise<string>;
}
type CoapProxyExtension = Extension<Record<never, never>> & {
    invoke(context: Context, next: Next): unknown;
};
declare const coapProxy: (options: CoapProxyOptions) => CoapProxyExtension;
export { coapProxy };
export type { CoapProxyExtension, CoapProxyOptions, UpstreamClient };
