/** What clearTimeout takes back. */
export type TimerHandle = unknown

/** Where every timer comes from, so that a test can turn the hands. */
export interface Clock {
  /** Milliseconds, never going back. */
  now(): number
  setTimeout(callback: () => void, milliseconds: number): TimerHandle
  clearTimeout(handle: TimerHandle): void
}

/** Sends and receives datagrams: a socket of the system, a virtual network, or a DTLS stack. */
export interface DatagramChannel {
  readonly address: { readonly address: string; readonly port: number; readonly family: string }
  send(bytes: Uint8Array, port: number, address: string): void
  close(): Promise<void> | void
  onMessage: ((bytes: Uint8Array, port: number, address: string) => void) | undefined
  onError: ((error: Error) => void) | undefined
}
