// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { SecuredDatagrams, Limits, Clock, DatagramNetwork, Transport } from "@iopa/transport";
interface UdpOptions {
    readonly host?: string;
    readonly port?: number;
    readonly framing?: "bag" | "raw";
    readonly dtls?: SecuredDatagrams;
    readonly allowUnauthenticated?: boolean;
    readonly limits?: Partial<Limits> | undefined;
    readonly clock?: Clock;
    readonly network?: DatagramNetwork;
}
declare function udp(options?: UdpOptions): Transport;
export { udp };
export type { UdpOptions };
