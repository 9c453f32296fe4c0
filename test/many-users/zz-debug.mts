import { runWorld, shorten } from '/work/trees/many/test/many-users/run.ts'
import { stepsOf } from '/work/trees/many/test/many-users/steps.ts'
const [cmd, a, b, c] = process.argv.slice(2)
if (cmd === 'run') {
  const kinds = new Map()
  let t = Date.now(); const tot = { deliveries: 0, kept: 0, overflowed: 0, evicted: 0 }
  for (let w = 0; w < Number(b); w++) {
    const seed = Number(a) + w
    const r = await runWorld(seed, stepsOf(seed, 400))
    for (const k of Object.keys(tot)) tot[k] += r[k]
    for (const f of r.faults) {
      const kind = f.replace(/^\d+ ms: /, '').replace(/@\w*@/g, '@').replace(/\b(ann|bob|cy|dee|\(none\))\b(\/c\d)?/g, 'U').replace(/\b[pqsr]\/\d(\/deep)?/g, 'T').replace(/own\/\d/g,'O').replace(/\d+/g, 'N').slice(0, 110)
      const e = kinds.get(kind) ?? { n: 0, worlds: new Set(), first: `${seed}: ${f}` }
      e.n++; e.worlds.add(seed); kinds.set(kind, e)
    }
  }
  for (const [k, e] of [...kinds].sort((x, y) => y[1].n - x[1].n).slice(0, 25)) console.log(e.n, e.worlds.size, k, '\n     ', e.first.slice(0, 400))
  console.log(tot, Date.now() - t, 'ms')
} else if (cmd === 'one') {
  const r = await runWorld(Number(a), stepsOf(Number(a), 400)); console.log(r)
} else {
  const left = await shorten(Number(a), stepsOf(Number(a), 400), new RegExp(b))
  for (const s of left) console.log(JSON.stringify(s))
  process.env.TRACE='1'; console.log((await runWorld(Number(a), left)).faults)
}
