// pnpm type-cost [count]: what declared resources cost the type checker, beside hand-written routes that call the same schemas.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const HEAD = `
import { App } from '@iopa/appbuilder'
import { at, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { z } from 'zod'
export const app = new App().use(router()).use(resources())
export { at, resource }
`
const schemas = n => `
const Params${n} = z.object({ id: z.string() })
const State${n} = z.object({ on: z.boolean(), level${n}: z.number().default(0), tags: z.array(z.string()) })
const Query${n} = z.object({ unit: z.enum(['a', 'b']).optional() })
const states${n} = new Map<string, z.output<typeof State${n}>>()
`
const declared = n => `${schemas(n)}
export const thing${n} = resource('/things${n}/{id}', { params: Params${n}, state: State${n}, methods: { get: { query: Query${n} }, put: {} } })
app.serve(thing${n}, {
  get: ({ params, query }) => (query.unit === 'a' ? states${n}.get(params.id) : undefined),
  put: ({ params, input }) => {
    states${n}.set(params.id, input)
    return input
  }
})
`
const byHand = n => `${schemas(n)}
app.get('/things${n}/{id}', context => {
  const params = Params${n}.parse(context.params)
  const query = Query${n}.parse(Object.fromEntries(context.query))
  return query.unit === 'a' ? states${n}.get(params.id) : undefined
})
app.put('/things${n}/{id}', async context => {
  const params = Params${n}.parse(context.params)
  const input = State${n}.parse(await context.json())
  states${n}.set(params.id, input)
  return input
})
`

/** What a program costs: instantiations of types, and seconds of checking, the least of some runs. */
const costOf = (place, name, program, runs) => {
  writeFileSync(join(place, `${name}.ts`), program)
  const config = {
    extends: '../../tsconfig.base.json',
    compilerOptions: { noEmit: true, declaration: false, isolatedDeclarations: false },
    files: [`${name}.ts`]
  }
  writeFileSync(join(place, `${name}.json`), JSON.stringify(config))
  const cost = { instantiations: Number.POSITIVE_INFINITY, seconds: Number.POSITIVE_INFINITY }
  for (let run = 0; run < runs; run++) {
    const compiler = [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(place, `${name}.json`), '--extendedDiagnostics', '--singleThreaded']
    const { stdout, status } = spawnSync(process.execPath, compiler, { cwd: root, encoding: 'utf8' })
    if (status !== 0) throw new Error(stdout)
    const figure = label => Number(new RegExp(`${label}:\\s+([0-9.]+)`).exec(stdout)?.[1])
    cost.instantiations = Math.min(cost.instantiations, figure('Instantiations'))
    cost.seconds = Math.min(cost.seconds, figure('Check time'))
  }
  return cost
}

/** The cost of `count` resources and of as many routes by hand, what both share taken off. */
export const typeCost = (count, runs) => {
  const place = mkdtempSync(join(root, 'node_modules/.iopa-types-'))
  try {
    const programOf = make => HEAD + Array.from({ length: count }, (_, n) => make(n)).join('')
    const shared = costOf(place, 'shared', programOf(schemas), runs)
    const own = cost => ({ instantiations: cost.instantiations - shared.instantiations, seconds: cost.seconds - shared.seconds })
    const [resources, routes] = [costOf(place, 'declared', programOf(declared), runs), costOf(place, 'by-hand', programOf(byHand), runs)]
    return { whole: { resources, routes }, own: { resources: own(resources), routes: own(routes) } }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(typeCost(Number(process.argv[2] ?? 200), 3), null, 2))
