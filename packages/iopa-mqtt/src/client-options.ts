import type { RemoteOptions } from './remote/options.ts'

/** What a client says beside the options of every connect. */
export interface MqttClientOptions extends RemoteOptions {
  /** QoS of requests and observations, 0 or 1; 1 unless given. With 0 nobody hears that nobody listens, and what a lost connection had on its way is lost. */
  readonly qos?: 0 | 1
  /**
   * What answers a request. `response`, the default, is whoever handles it, over a Response Topic (MQTT 5 section 4.10); when nobody does, the
   * request ends with 504. `acknowledgement` is the broker alone: the request resolves with 204 as soon as it has the message, or with the
   * status that an IOPA broker puts into its acknowledgement. GET always waits for a response.
   */
  readonly answer?: 'response' | 'acknowledgement'
  /** Goes before every observed topic: `state` where the resources are those of workers on a broker (`statePrefix` there); empty unless given. */
  readonly statePrefix?: string
}
