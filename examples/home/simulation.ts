// Devices on every protocol, whose readings follow the course of a day.
import { setMaxListeners } from 'node:events'
import type { App, Client } from '@iopa/appbuilder'

interface Kind {
  readonly name: string
  readonly unit: string
  /** The reading at a time of the day, from 0 to 1. */
  at(day: number): number
}

/** 0 at night, 1 at noon. */
const sun = (day: number): number => Math.max(0, Math.sin((day - 0.25) * 2 * Math.PI))
/** 1 in the morning and in the evening, when people are at home. */
const people = (day: number): number => Math.exp(-(((day - 0.32) / 0.06) ** 2)) + Math.exp(-(((day - 0.82) / 0.1) ** 2))

const KINDS: readonly Kind[] = [
  { name: 'temperature', unit: '°C', at: day => 18 + 4 * sun(day - 0.06) + people(day) },
  { name: 'humidity', unit: '%', at: day => 55 - 12 * sun(day) + 8 * people(day) },
  { name: 'co2', unit: 'ppm', at: day => 430 + 500 * people(day) },
  { name: 'brightness', unit: 'lx', at: day => 5 + 900 * sun(day) + 120 * people(day) },
  { name: 'power', unit: 'W', at: day => 60 + 700 * people(day) }
]

const ROOMS = ['hall', 'kitchen', 'porch', 'attic', 'cellar', 'garage', 'study', 'nursery', 'bathroom', 'bedroom']
const NAMES = ROOMS.flatMap(room => KINDS.map(kind => ({ room, kind })))

/** Milliseconds in which a day of the simulation passes. */
const DAY = 10 * 60_000
/** Milliseconds between two readings of a device. */
const PAUSE = 4000

const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true }
    )
  })

const device = async (client: Client, at: number, signal: AbortSignal): Promise<void> => {
  const { room, kind } = NAMES[at % NAMES.length] as (typeof NAMES)[number]
  const round = Math.floor(at / NAMES.length)
  const path = `/sensors/${room}-${kind.name}${round === 0 ? '' : `-${round + 1}`}`
  // Not all at the same moment.
  await pause(Math.random() * PAUSE, signal)
  while (!signal.aborted) {
    const value = kind.at(((Date.now() + at * 1000) % DAY) / DAY) * (0.97 + 0.06 * Math.random())
    await client.put(path, { value: Math.round(value * 10) / 10, unit: kind.unit }, { signal }).catch(error => {
      if (!signal.aborted) console.error(`${path}: ${error.message}`)
    })
    await pause(PAUSE * (0.75 + 0.5 * Math.random()), signal)
  }
}

/** A person who uses a switch now and then. */
const inhabitant = async (client: Client, lights: readonly string[], signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    await pause(3000 + 5000 * Math.random(), signal)
    const light = lights[Math.floor(Math.random() * lights.length)] as string
    const on = Math.random() < 0.6
    if (!signal.aborted)
      await client.put(`/lights/${light}`, { on, level: on ? 20 + Math.round(80 * Math.random()) : 0 }, { signal }).catch(() => undefined)
  }
}

/** Runs `count` devices, spread over the protocols of `urls`, until `signal` aborts. */
export const simulate = async (
  app: App,
  urls: readonly string[],
  { count, lights, signal }: { count: number; lights: readonly string[]; signal: AbortSignal }
): Promise<void> => {
  const clients = await Promise.all(Array.from({ length: count }, (_, at) => app.connect(urls[at % urls.length] as string)))
  // Each device waits for it.
  setMaxListeners(0, signal)
  const last = clients.at(-1)
  if (last === undefined) return
  try {
    await Promise.all([...clients.map((client, at) => device(client, at, signal)), inhabitant(last, lights, signal)])
  } finally {
    await Promise.all(clients.map(client => client.close()))
  }
}
