import { runCell } from './cell.ts'
const [v, p, h, d] = process.argv.slice(2).map(Number)
console.log(await runCell({ version: v as 4, publishers: p!, handler: h!, duration: d!, asks: 8 }))
process.exit(0)
