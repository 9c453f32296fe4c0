// A store answers GET: here the state of the house, with the rules that a change must keep.
import { IopaError } from '@iopa/appbuilder'

export interface Light {
  readonly on: boolean
  /** Percent. */
  readonly level: number
}

export interface Sensor {
  readonly value: number
  readonly unit: string
}

const invalid = (field: string, rule: string): IopaError =>
  new IopaError(422, 'invalid-field', `'${field}' must be ${rule}.`, { extensions: { errors: [{ field, rule }] } })

const member = (value: unknown, name: string): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('body', 'a JSON object')
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

const lightOf = (value: unknown): Light => {
  const on = member(value, 'on')
  const level = member(value, 'level')
  if (typeof on !== 'boolean') throw invalid('on', 'true or false')
  if (typeof level !== 'number' || level < 0 || level > 100) throw invalid('level', 'a number from 0 to 100')
  return { on, level }
}

const sensorOf = (value: unknown): Sensor => {
  const reading = member(value, 'value')
  const unit = member(value, 'unit')
  if (typeof reading !== 'number') throw invalid('value', 'a number')
  if (typeof unit !== 'string' || unit === '') throw invalid('unit', 'a string, such as "C"')
  return { value: reading, unit }
}

const MOST_SENSORS = 1000

/** The lights and sensors of one house. */
export class HomeStore {
  readonly #lights = new Map<string, Light>(['hall', 'kitchen', 'porch'].map(id => [id, { on: false, level: 0 }]))
  readonly #sensors = new Map<string, Sensor>()

  lights(): Record<string, Light> {
    return Object.fromEntries(this.#lights)
  }

  lightIds(): string[] {
    return [...this.#lights.keys()]
  }

  sensorIds(): string[] {
    return [...this.#sensors.keys()]
  }

  light(id: string): Light {
    const light = this.#lights.get(id)
    if (light === undefined) throw new IopaError(404, 'unknown-light', `There is no light '${id}'; there are ${[...this.#lights.keys()].join(', ')}.`)
    return light
  }

  setLight(id: string, value: unknown): Light {
    this.light(id)
    const light = lightOf(value)
    this.#lights.set(id, light)
    return light
  }

  sensor(id: string): Sensor {
    const sensor = this.#sensors.get(id)
    if (sensor === undefined) throw new IopaError(404, 'unknown-sensor', `Sensor '${id}' has not reported yet.`)
    return sensor
  }

  /** True when this was the sensor's first report. */
  setSensor(id: string, value: unknown): boolean {
    const sensor = sensorOf(value)
    const isNew = !this.#sensors.has(id)
    if (isNew && this.#sensors.size >= MOST_SENSORS) throw new IopaError(503, 'too-many-sensors', `This house has room for ${MOST_SENSORS} sensors.`)
    this.#sensors.set(id, sensor)
    return isNew
  }
}
