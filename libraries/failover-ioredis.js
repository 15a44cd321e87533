// Writes through ioredis and its Sentinel support until the input ends; says what was written, and who answered.
const Redis = require("ioredis");

const [key, cluster, ...nodes] = process.argv.slice(2);
const sentinels = nodes.map((node) => ({ host: node.split(":")[0], port: Number(node.split(":")[1]) }));
const client = new Redis({ sentinels, name: cluster });
client.on("error", (error) => console.log("noticed", String(error)));
let ended = false;
process.stdin.resume().on("end", () => (ended = true));

(async () => {
  for (let number = 1; !ended; number += 1) {
    try {
      await client.set(key, number);
      console.log("wrote", number, (await client.role())[0]);
    } catch (error) {
      console.log("failed", number, String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  client.disconnect();
})();
