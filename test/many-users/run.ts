import { type Step, stepsOf } from './steps.ts'
import { World, type WorldResult } from './world.ts'

/** Steps of one world. */
const STEPS = 400

export interface Findings {
  readonly steps: number
  readonly worlds: number
  readonly deliveries: number
  readonly kept: number
  readonly overflowed: number
  readonly evicted: number
  /** The first faults, with the seed of their world. */
  readonly faults: readonly string[]
}

/** Runs worlds until so many steps are done; the same seed gives the same run. */
export const runManyUsers = async (steps: number, seed: number, progress: (text: string) => void = () => undefined): Promise<Findings> => {
  const totals = { deliveries: 0, kept: 0, overflowed: 0, evicted: 0 }
  const faults: string[] = []
  let [done, worlds] = [0, 0]
  while (done < steps && faults.length < 40) {
    const worldSeed = seed + worlds++
    const count = Math.min(STEPS, steps - done)
    const result = await runWorld(worldSeed, stepsOf(worldSeed, count))
    done += count
    totals.deliveries += result.deliveries
    totals.kept += result.kept
    totals.overflowed += result.overflowed
    totals.evicted += result.evicted
    for (const fault of result.faults.slice(0, 5)) faults.push(`world ${worldSeed}: ${fault}`)
    if (worlds % 25 === 0) progress(`${done} steps, ${faults.length} faults, ${JSON.stringify(totals)}`)
  }
  return { steps: done, worlds, ...totals, faults }
}

/** Runs one world; what it throws is a fault, too. */
export const runWorld = async (seed: number, steps: readonly Step[]): Promise<WorldResult> => {
  try {
    return await new World(seed).run(steps)
  } catch (error) {
    return { faults: [`thrown: ${(error as Error).stack}`], deliveries: 0, kept: 0, overflowed: 0, evicted: 0, time: 0 }
  }
}

/** Leaves out steps for as long as a fault of the same kind stays. */
export const shorten = async (seed: number, steps: readonly Step[], kind: RegExp): Promise<Step[]> => {
  let left = [...steps]
  const fails = async (some: readonly Step[]): Promise<boolean> => (await runWorld(seed, some)).faults.some(fault => kind.test(fault))
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < left.length; ) {
      const some = [...left.slice(0, at), ...left.slice(at + size)]
      if (await fails(some)) left = some
      else at += size
    }
  }
  return left
}
