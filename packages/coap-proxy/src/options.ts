/** Options of `coapProxy()`. */
export interface CoapProxyOptions {
  /** The servers that requests may go to: scheme, host and port. None unless given. */
  readonly targets: readonly (string | URL)[]
}
