import type { Context } from '@iopa/appbuilder'
import type { PresenceState } from '@iopa/appbuilder/extension'
import type { Clock, TimerHandle } from '@iopa/transport'

/** Milliseconds: how exact `lastSeen` is for observers and after a crash. */
const EXACT = 60_000
/** Connections of one device that are counted. */
const MOST_CONNECTIONS = 64
/** Devices whose times are written at once. */
const SLICE = 500

/** What presence needs of its twins. */
export interface PresenceHost {
  readonly clock: Clock
  /** Most devices that are remembered. */
  readonly devices: number
  /** The presence of a device has changed. */
  changed(key: string): void
  /** Keeps when devices were heard last; what it throws is tried again. */
  keep(times: readonly (readonly [key: string, time: number])[]): Promise<void>
}

interface Device {
  readonly connections: Set<Context>
  /** When it was heard last, in milliseconds since the epoch. */
  seen: number
  /** When observers were told, on the monotonic clock. */
  told: number
}

/** Which devices are connected, and when each of them was heard last. */
export class Presence {
  readonly #host: PresenceHost
  /** The one that was heard longest ago first. */
  readonly #devices = new Map<string, Device>()
  /** Devices whose times have not been kept. */
  readonly #dirty = new Set<string>()
  #timer: TimerHandle | undefined

  constructor(host: PresenceHost) {
    this.#host = host
  }

  /** Takes the time of a device from before the start. */
  restore(key: string, time: number): void {
    this.#devices.set(key, { connections: new Set(), seen: time, told: Number.NEGATIVE_INFINITY })
  }

  stateOf(key: string): PresenceState {
    const device = this.#devices.get(key)
    const connections = device?.connections.size ?? 0
    return { connected: connections > 0, connections, lastSeen: device === undefined ? null : new Date(device.seen).toISOString() }
  }

  /** The device has sent a request; `connection` is what lasts longer than it, if anything does. */
  heard(key: string, connection: Context | null): void {
    const clock = this.#host.clock
    const now = clock.now()
    const device = this.#devices.get(key) ?? { connections: new Set(), seen: now, told: Number.NEGATIVE_INFINITY }
    device.seen = Math.max(device.seen, now)
    this.#devices.delete(key)
    this.#devices.set(key, device)
    if (this.#devices.size > this.#host.devices) this.#forget()
    if (connection !== null && !connection.ended && !device.connections.has(connection) && device.connections.size < MOST_CONNECTIONS) {
      device.connections.add(connection)
      connection.defer(() => this.#left(key, device, connection))
      this.#tell(key, device)
    } else if (clock.elapsed() - device.told >= EXACT) this.#tell(key, device)
    this.#mark(key)
  }

  /** Forgets a device whose twin has been deleted, unless it is connected. */
  forget(key: string): void {
    if (this.#devices.get(key)?.connections.size === 0) this.#devices.delete(key)
  }

  /** Keeps all times that have not been kept. */
  async flush(): Promise<void> {
    if (this.#timer !== undefined) this.#host.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#dirty.size > 0) {
      const slice = Array.from(this.#dirty).slice(0, SLICE)
      for (const key of slice) this.#dirty.delete(key)
      try {
        await this.#host.keep(slice.flatMap(key => this.#timeOf(key)))
      } catch (error) {
        for (const key of slice) this.#dirty.add(key)
        throw error
      }
    }
  }

  #left(key: string, device: Device, connection: Context): void {
    if (!device.connections.delete(connection)) return
    device.seen = Math.max(device.seen, this.#host.clock.now())
    this.#tell(key, device)
    this.#mark(key)
  }

  #tell(key: string, device: Device): void {
    device.told = this.#host.clock.elapsed()
    this.#host.changed(key)
  }

  #mark(key: string): void {
    this.#dirty.add(key)
    this.#timer ??= this.#host.clock.setTimeout(() => {
      this.#timer = undefined
      this.flush().catch(() => this.#arm())
    }, EXACT)
  }

  /** Tries again later. */
  #arm(): void {
    const [key] = this.#dirty
    if (key !== undefined) this.#mark(key)
  }

  #timeOf(key: string): (readonly [string, number])[] {
    const device = this.#devices.get(key)
    return device === undefined ? [] : [[key, device.seen]]
  }

  /** Forgets the device that was heard longest ago and is not connected. */
  #forget(): void {
    let looked = 0
    for (const [key, { connections }] of this.#devices) {
      if (connections.size === 0) {
        this.#devices.delete(key)
        return
      }
      if (++looked === SLICE) return
    }
  }
}
