/** URNs under which extensions describe themselves in `server.Capabilities`. */
export const CAPABILITIES = {
  App: 'urn:io.iopa:app',
  Router: 'urn:io.iopa:router',
  Static: 'urn:io.iopa:static',
  Http: 'urn:io.iopa:http',
  Tcp: 'urn:io.iopa:tcp',
  Udp: 'urn:io.iopa:udp',
  Coap: 'urn:io.iopa:coap',
  CoapProxy: 'urn:io.iopa:coap-proxy',
  Mqtt: 'urn:io.iopa:mqtt',
  Memory: 'urn:io.iopa:memory'
} as const

/** What an extension can do, as data: `{ version: '5.0.0', observe: true, maxPayload: 1048576 }`. */
export type Capability = Record<string, unknown>

/** Capabilities by URN; a write at the first two levels stays within the context that made it. */
export type Capabilities = Record<string, Capability>
